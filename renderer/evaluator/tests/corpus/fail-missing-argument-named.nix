let greet = { name, greeting }: name; in greet { name = 1; }
