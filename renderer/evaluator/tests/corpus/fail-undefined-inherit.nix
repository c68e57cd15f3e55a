{ x.y = a; inherit c; }
