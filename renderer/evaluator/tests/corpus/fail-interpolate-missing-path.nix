"${./fixtures/nope}"
