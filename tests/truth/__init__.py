"""Our facts against a server's, joined by port and request number: not one may differ."""
