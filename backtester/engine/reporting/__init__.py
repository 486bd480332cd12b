"""What people look at of a sealed run: report.html and plots/*.png, from its folder and the lake that it names."""
