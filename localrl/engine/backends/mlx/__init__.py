"""mlx-lm as a backend: folders of MLX weights, on Apple machines and, slowly, on Linux."""
