"""Sessions over the watch API: lists, reports, attendance sheets, and the overview of the stages."""
