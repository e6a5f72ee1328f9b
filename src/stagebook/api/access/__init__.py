"""Access control that the AWS API and the watch API share: policies, hosts, and limits on failed attempts."""
