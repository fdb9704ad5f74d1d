"""What the gateway knows without asking anybody: keys and scopes, safe names, whose answer is in force."""
