"""Access control of the AWS API: policies, ownership of resources, call rates and browser origins."""
