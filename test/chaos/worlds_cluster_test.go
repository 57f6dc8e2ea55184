package chaos

func clusterWorlds() map[string]func() World { return nil }
