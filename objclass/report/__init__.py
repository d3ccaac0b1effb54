"""Reports: one self-contained page that shows what others computed."""
