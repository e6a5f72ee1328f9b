"""Access control that the AWS API and the watch API share: signatures, policies, hosts, limits on failures."""
