"""curve.py: Draws the loss curve of a training run as SVG, with a logarithmic loss axis.

    curve.py LOSS_FILE SVG_FILE
"""

import argparse
import json
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 60, 16, 16, 44


def draw(curve):
    steps = curve[-1][0]
    low = math.floor(math.log10(min(loss for _, loss in curve)))
    high = math.ceil(math.log10(max(loss for _, loss in curve)))

    def x_of(step):
        return LEFT + (WIDTH - LEFT - RIGHT) * step / steps

    def y_of(loss):
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log10(loss)) / (high - low)
    grid, labels = [], []
    for power in range(low, high + 1):
        y = y_of(10.0 ** power)
        grid.append(f"M{LEFT} {y:.1f}H{WIDTH - RIGHT}")
        labels.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0 ** power:g}</text>')
    for i in range(5):
        step = steps * i // 4
        labels.append(f'<text x="{x_of(step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step}</text>')
    labels.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">step</text>')
    turned = f'transform="rotate(-90 14 {HEIGHT / 2})"'
    labels.append(f'<text x="14" y="{HEIGHT / 2}" text-anchor="middle" {turned}>loss</text>')
    path = "M" + "L".join(f"{x_of(step):.1f} {y_of(loss):.1f}" for step, loss in curve)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'font-family="sans-serif" font-size="12">\n'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n<path d="{"".join(grid)}" stroke="#ddd"/>\n'
            f'<path d="{path}" fill="none" stroke="#1f5fa8"/>\n' + "\n".join(labels) + "\n</svg>\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loss_file")
    parser.add_argument("svg_file")
    args = parser.parse_args()
    with open(args.loss_file, encoding="utf-8") as file:
        curve = json.load(file)["curve"]
    with open(args.svg_file, "w", encoding="utf-8") as file:
        file.write(draw(curve))


if __name__ == "__main__":
    main()
