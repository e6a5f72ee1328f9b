"""The webhooks of the watch API: destinations, what was delivered to them, replays."""
