//! Somebody who asks for pages all the time.

use crate::server::page;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

/// Asks for pages until it is told to end.
pub struct Scraper {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Scraper {
    /// Begins to ask, each page some two hundred times a second.
    pub fn start(pages: Vec<(u16, &'static str)>) -> Scraper {
        let ends = Arc::new(AtomicBool::new(false));
        let end = ends.clone();
        let fails = |&&(port, path): &&(u16, &str)| !page(port, path).is_ok_and(|text| text.contains(" 200 "));
        let thread = std::thread::spawn(move || {
            let mut failed = 0;
            while !end.load(Relaxed) {
                failed += pages.iter().filter(fails).count();
                sleep(Duration::from_millis(5));
            }
            failed
        });
        Scraper { ends, thread }
    }

    /// How many requests had no answer, or another than 200.
    pub fn finish(self) -> usize {
        self.ends.store(true, Relaxed);
        self.thread.join().expect("it ends")
    }
}
