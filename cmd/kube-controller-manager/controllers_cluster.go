package main

// cluster are the controllers that keep the cluster itself in order: namespaces, garbage, nodes, credentials, endpoints.
func cluster() []Row {
	return []Row{}
}
