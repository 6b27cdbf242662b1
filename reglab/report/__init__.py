"""Reports: from run records to tables, figures and a page. Nothing here imports torch: a laptop builds them."""
