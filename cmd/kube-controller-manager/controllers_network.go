package main

// network are the controllers of addresses and endpoints that Services do not select.
func network() []Row {
	return []Row{}
}
