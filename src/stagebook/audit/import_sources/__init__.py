"""What an import reads: exports of events, and what the AWS CLI has printed."""
