//! What can be said of the looks without eyes: contrast.

use std::collections::HashMap;

const STYLE: &str = include_str!("../pages/style.css");

/// The variables of the nth `:root`.
fn colours(nth: usize) -> HashMap<&'static str, [f64; 3]> {
    let block = STYLE
        .split(":root {")
        .nth(nth)
        .unwrap()
        .split('}')
        .next()
        .unwrap();
    let colour = |text: &str| {
        let hex = text.trim().strip_prefix('#')?;
        let part = |at| {
            u8::from_str_radix(hex.get(at..at + 2)?, 16)
                .ok()
                .map(f64::from)
        };
        Some([part(0)?, part(2)?, part(4)?])
    };
    block
        .split([';', '\n'])
        .filter_map(|line| line.trim().strip_prefix("--")?.split_once(':'))
        .filter_map(|(name, value)| Some((name, colour(value)?)))
        .collect()
}

/// Relative luminance and contrast ratio (WCAG 2.2).
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let light = |c: [f64; 3]| {
        let [r, g, b] = c.map(|v| {
            let v = v / 255.0;
            if v <= 0.04045 {
                v / 12.92
            } else {
                ((v + 0.055) / 1.055).powf(2.4)
            }
        });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (a, b) = (light(a), light(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn text_can_be_read_on_its_ground_in_light_and_dark() {
    let pairs = [
        ("ink", "ground"),
        ("ink", "sheet"),
        ("ink", "soft"),
        ("quiet", "ground"),
        ("quiet", "sheet"),
        ("quiet", "soft"),
        ("link", "ground"),
        ("link", "sheet"),
        ("link", "soft"),
        ("good", "good-soft"),
        ("warn", "warn-soft"),
        ("bad", "bad-soft"),
        ("asked", "asked-soft"),
        ("good", "sheet"),
        ("warn", "sheet"),
        ("bad", "sheet"),
        ("asked", "sheet"),
        ("ink", "good-soft"),
        ("ink", "warn-soft"),
        ("ink", "bad-soft"),
        ("ink", "asked-soft"),
        ("quiet", "asked-soft"),
        ("quiet", "warn-soft"),
        ("on-button", "button"),
        ("good", "ground"),
        ("bad", "ground"),
        ("warn", "ground"),
        ("good", "soft"),
        ("bad", "soft"),
        ("warn", "soft"),
    ];
    for scheme in [1, 2] {
        let all = colours(scheme);
        for (text, ground) in pairs {
            let ratio = contrast(all[text], all[ground]);
            assert!(
                ratio >= 4.5,
                "scheme {scheme}: {text} on {ground} has {ratio:.2}"
            );
        }
    }
}

#[test]
fn contrast_is_that_of_wcag() {
    assert!((contrast([0.0; 3], [255.0; 3]) - 21.0).abs() < 1e-9);
    assert!((contrast([119.0; 3], [255.0; 3]) - 4.48).abs() < 0.01);
}
