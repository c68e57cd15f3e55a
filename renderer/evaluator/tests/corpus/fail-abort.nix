abort "stopped"
