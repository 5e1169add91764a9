//! What is done when code panics: while a query is answered, the server says so and goes on; with `debug`, the process ends.

use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The process ends (directive `debug`).
static END: AtomicBool = AtomicBool::new(false);
/// The stack is kept (`errors` with `stacktrace`).
static STACK: AtomicBool = AtomicBool::new(false);

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Exit status of a process that a panic ended (that of Go).
const STATUS: i32 = 2;

/// From now on panics are kept for [`take`] instead of being printed.
pub fn install() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if END.load(Relaxed) {
            print(panic);
            crate::output::finish();
            std::process::exit(STATUS);
        }
        let text = describe(panic);
        // While the thread ends there is nobody left to ask for it.
        let _ = LAST.try_with(|last| last.replace(text));
    }));
}

/// What the configuration that is served wants.
pub fn configure(end: bool, stack: bool) {
    END.store(end, Relaxed);
    STACK.store(stack, Relaxed);
}

/// What was said in the last panic of this thread.
pub fn take() -> String {
    LAST.take()
}

fn describe(panic: &PanicHookInfo<'_>) -> String {
    let said = panic.payload_as_str().unwrap_or("panic");
    let place = panic.location().map(|l| format!(" at {l}")).unwrap_or_default();
    let stack = if STACK.load(Relaxed) { format!("\n{}", Backtrace::force_capture()) } else { String::new() };
    format!("{said}{place}{stack}")
}
