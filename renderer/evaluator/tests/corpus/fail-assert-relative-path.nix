# The folder of the file is part of what is shown.
assert (let v = 1; in v == ./a); 2
