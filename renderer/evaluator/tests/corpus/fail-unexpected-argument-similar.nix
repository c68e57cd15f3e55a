({ package }: package) { pakcage = 1; }
