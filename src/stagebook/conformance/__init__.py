"""Black-box checks of the rules of the IVS Real-Time API, for any server that claims to speak it."""
