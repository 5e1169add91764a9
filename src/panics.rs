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

#[cfg(test)]
mod tests {
    use crate::inprocess::InProcess;
    use crate::output;
    use crate::plugins::Row::Built;
    use crate::plugins::Table;
    use api::{Name, Plugin, PluginDef, Query, RecordType, Result, Step, Transport, Waiting};

    /// Does what the first label says: asks the server, or the plugins below, for the rest of the name; waits; panics.
    struct Obeys;

    impl Plugin for Obeys {
        fn query(&self, q: &mut Query) -> Result<Step> {
            match q.name().labels().next() {
                Some(b"panic") => panic!("told to"),
                _ => Ok(Step::Wait),
            }
        }

        fn wait<'a>(&'a self, q: &'a mut Query) -> Waiting<'a> {
            Box::pin(async move {
                let rest = q.name().parent().to_name();
                let asked = match q.name().labels().next() {
                    Some(b"ask") => q.lookup(rest.as_ref(), RecordType::A).await?,
                    Some(b"below") => q.ask_too(rest.as_ref(), RecordType::A).run_below("obeys").await,
                    _ => {
                        tokio::task::yield_now().await;
                        panic!("told to");
                    }
                };
                q.reply = asked.reply;
                Ok(Step::Done)
            })
        }
    }

    const fn obeys(name: &'static str) -> PluginDef {
        PluginDef {
            name,
            properties: &[],
            metrics: &[],
            setup: |setup| {
                setup.cursor().next_once()?;
                setup.add(Obeys);
                Ok(())
            },
        }
    }

    static OBEYS: PluginDef = obeys("obeys");
    static BELOW: PluginDef = obeys("below");

    #[test]
    fn every_panic_is_told_once() {
        let _listening = output::listen_here();
        let mut server =
            InProcess::start(&Table(vec![Built(&OBEYS), Built(&BELOW)]), ".:53 {\nobeys\nbelow\n}\n").unwrap();
        for labels in ["panic", "wait", "ask.panic", "ask.wait", "below.panic", "below.wait"] {
            let name = Name::from_text(labels).unwrap();
            let message = [b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0", name.as_bytes(), b"\0\x01\0\x01"].concat();
            let reply = server.answer(&message, Transport::Udp).unwrap();
            assert_eq!(reply[3] & 15, 2, "{labels}");
            assert_eq!(output::heard(), ["Recovered from panic in server: \"dns://:53\" "], "{labels}");
        }
    }
}
