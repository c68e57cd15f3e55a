<niphas-no-such-path>
