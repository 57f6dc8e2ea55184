package chaos

func storageWorlds() map[string]func() World { return nil }
