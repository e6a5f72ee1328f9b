"""Engines that move the pictures, behind one port."""
