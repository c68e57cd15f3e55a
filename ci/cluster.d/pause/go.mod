module niphas.io/ci/pause

go 1.26
