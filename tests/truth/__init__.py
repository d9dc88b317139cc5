"""Our facts against a server's: joined by port and number, they may not differ once."""
