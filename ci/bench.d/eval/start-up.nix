# Start, read a file, print, end.
1 + 1
