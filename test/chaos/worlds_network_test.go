package chaos

func networkWorlds() map[string]func() World { return nil }
