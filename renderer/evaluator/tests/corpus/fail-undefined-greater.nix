{ inherit y; } > { inherit x; }
