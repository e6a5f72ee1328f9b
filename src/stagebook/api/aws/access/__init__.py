"""Who may call an operation: policies, resource access, call rates and browser origins."""
