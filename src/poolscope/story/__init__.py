"""What happens to an exchange, a connection and a client, told once and without any library."""
