"""Networks: the paper's and the field's, and those of timm."""
