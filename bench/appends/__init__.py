"""Appends through the stage manager: how many events a second become durable, alone and in a storm of joins."""
