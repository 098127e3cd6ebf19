"""Who may do what: pure rules over public metadata, applied in the gateway of a domain."""
