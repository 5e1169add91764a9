//! What a figure is when it was measured a few times.

/// The one in the middle.
///
/// # Panics
/// There is none at all.
pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = figures.collect();
    all.sort_unstable_by(f64::total_cmp);
    (all[(all.len() - 1) / 2] + all[all.len() / 2]) / 2.0
}
