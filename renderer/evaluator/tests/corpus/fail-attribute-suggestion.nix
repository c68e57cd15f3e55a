{ replicas = 1; service = { }; }.replica
