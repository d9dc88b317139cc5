"""What happens to an exchange, a connection and a client, written once and without any library."""
