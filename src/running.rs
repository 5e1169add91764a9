//! The running server: open sockets, workers, background work; reloading and stopping them.

use crate::boot;
use crate::cli::Options;
use crate::fallback::Fallback;
use crate::http::{HttpServer, Pages};
use crate::instance::Instance;
use crate::listeners::{Listeners, Opened};
use crate::metrics;
use crate::output;
use crate::panics;
use crate::plugins::Table;
use crate::signals::{Order, Signals};
use crate::source::{self, Origin, Reading};
use crate::tasks::{self, Failures};
use api::inputs::Inputs;
use api::services::{Attempt, Reload, Seen};
use api::setup::{Farewell, World};
use api::task::{Carried, Carry, StopSource};
use api::{Chain, Clock};
use std::cell::Cell;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// How long /ready says 503 before its address is closed, as CoreDNS has it from the beginning of a lame duck.
const NOTICE: Duration = Duration::from_millis(100);
/// How long reading and setting up a configuration may take: names are looked up, large files read.
const SET_UP: Duration = Duration::from_secs(60);

/// The running server.
pub struct Running {
    control: Arc<Control>,
    options: Options,
    clock: Clock,
    http: HttpServer,
    listeners: Listeners,
    generation: Generation,
    failures: (Failures, mpsc::UnboundedReceiver<String>),
    reloads: mpsc::UnboundedReceiver<Wanted>,
}

/// What runs in the background for the configuration that is served.
#[derive(Default)]
struct Generation {
    tasks: tasks::Running,
    stop: StopSource,
    carried: Vec<Arc<Carried>>,
    farewells: Vec<Farewell>,
    chains: Vec<Arc<Chain>>,
}

impl Generation {
    /// Whether it has plugins of `directive`, and all of them are ready.
    fn is_ready(&self, directive: &str) -> bool {
        let links = self.chains.iter().flat_map(|chain| chain.links());
        let mut ready = links.filter(|link| link.name == directive).map(|link| link.plugin.ready()).peekable();
        ready.peek().is_some() && ready.all(|ready| ready)
    }
}

/// What a new configuration has waited for in vain.
struct Lacking {
    directive: &'static str,
    /// What there is instead.
    what: String,
}

impl Lacking {
    fn warn(&self) {
        tracing::warn!("plugin/{}: starting server with {}", self.directive, self.what);
    }
}

/// What the directive `reload` and signals reach.
struct Control {
    table: Table,
    origin: Origin,
    fallback: Option<Fallback>,
    served: Mutex<Arc<Served>>,
    generation: AtomicU64,
    wanted: mpsc::UnboundedSender<Wanted>,
}

/// What tells the configuration that is served from others.
#[derive(Default)]
struct Served {
    hash: String,
    inputs: Inputs,
}

/// A reload that is asked for, and the way back to who asked.
type Wanted = (Attempt, oneshot::Sender<Result<(), String>>);

/// Control as plugins see it.
struct Handle(Arc<Control>);

impl Reload for Handle {
    fn running(&self) -> String {
        self.0.served().hash.clone()
    }

    fn look(&self) -> Pin<Box<dyn Future<Output = Seen> + Send + '_>> {
        let control = self.0.clone();
        Box::pin(
            async move { apart("read the configuration", move || control.look()).await.unwrap_or_else(Seen::Broken) },
        )
    }

    fn generation(&self) -> u64 {
        self.0.generation.load(Relaxed)
    }

    fn reload(&self, attempt: Attempt) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move {
            let (done, outcome) = oneshot::channel();
            let ends = |_| "the server ends".to_owned();
            self.0.wanted.send((attempt, done)).map_err(|_| ends(()))?;
            outcome.await.map_err(|_| ends(()))?
        })
    }
}

/// Does work that blocks on a thread of its own, while probes and everything else in the background goes on.
async fn apart<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    match tokio::time::timeout(SET_UP, tokio::task::spawn_blocking(work)).await {
        Ok(done) => done.map_err(|e| format!("cannot {what}: {e}")),
        Err(_) => Err(format!("cannot {what} within {SET_UP:?}")), // the thread is left to itself
    }
}

impl Control {
    fn served(&self) -> Arc<Served> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn look(&self) -> Seen {
        let hash = match self.origin.parse(&self.table, Reading::Again) {
            Ok(corefile) => corefile.hash(),
            Err(why) => return Seen::Broken(why),
        };
        let served = self.served();
        match served.inputs.changed() {
            None if hash == served.hash => Seen::Running,
            inputs => Seen::Changed(format!("{hash} {inputs:?}")),
        }
    }

    /// Reads and sets up the configuration, with the state that the one `before` leaves.
    fn build(self: &Arc<Self>, reading: Reading, clock: Clock, before: &[Arc<Carried>]) -> Result<Instance, String> {
        let built = self.build_from_origin(reading, clock.clone(), before);
        match (built, &self.fallback) {
            (Err(why), Some(fallback)) if reading == Reading::First => self
                .build_from_fallback(fallback, clock)
                .map_err(|none| format!("{why}\nno fallback: {none}"))
                .inspect(|_| {
                    let (file, kept) = (self.origin.shown(), fallback.shown());
                    tracing::error!(
                        "{file} is broken, and {kept}, a copy of what worked last, is served instead: {why}"
                    );
                    metrics::fallback_served(true);
                }),
            (built, _) => built,
        }
    }

    /// Sets up the copy of the configuration that worked last.
    fn build_from_fallback(self: &Arc<Self>, fallback: &Fallback, clock: Clock) -> Result<Instance, String> {
        let corefile = fallback.read(&self.table)?;
        let world = World::new(clock, Carry::default(), Arc::new(Handle(self.clone())));
        Instance::build(&self.table, &corefile, world).map_err(|mistakes| source::lines(&mistakes))
    }

    fn build_from_origin(
        self: &Arc<Self>,
        reading: Reading,
        clock: Clock,
        before: &[Arc<Carried>],
    ) -> Result<Instance, String> {
        let (corefile, mut mistakes) = self.origin.read(&self.table, reading)?;
        if !mistakes.is_empty() {
            // What set-up finds in the rest of it is told too, so that all is told at once.
            let world = World::new(clock, Carry::default(), Arc::new(Handle(self.clone()))).to_check();
            mistakes.extend(Instance::examine(&self.table, &corefile, world).mistakes);
            return Err(source::lines(&mistakes));
        }
        if self.fallback.is_some() && self.origin.is_file() && source::is_default(&corefile) {
            // An empty file is no configuration where there is one that worked.
            return Err(format!("{}:1 - no server block is in it, at least one is expected", self.origin.shown()));
        }
        for warning in &corefile.warnings {
            tracing::warn!("{warning}");
        }
        let world = World::new(clock, Carry::from_before(before), Arc::new(Handle(self.clone())));
        let mut instance =
            Instance::build(&self.table, &corefile, world).map_err(|mistakes| source::lines(&mistakes))?;
        instance.tasks.extend(self.fallback.as_ref().map(|fallback| fallback.keep(&corefile, &self.table)));
        Ok(instance)
    }
}

/// Starting.
impl Running {
    /// Reads the configuration and starts to serve it.
    ///
    /// # Errors
    /// What is wrong with the configuration, or cannot be opened; nothing is left open then.
    pub async fn start(table: Table, options: Options) -> Result<Running, String> {
        let origin = Origin::choose(&options)?;
        let (wanted, reloads) = mpsc::unbounded_channel();
        let fallback = Fallback::at(&options.fallback);
        let control = Arc::new(Control {
            table,
            origin,
            fallback,
            served: Mutex::default(),
            generation: AtomicU64::new(0),
            wanted,
        });
        let mut running = Running {
            control,
            options,
            http: HttpServer::new(Clock::system()),
            clock: Clock::system(),
            listeners: Listeners::default(),
            generation: Generation::default(),
            failures: mpsc::unbounded_channel(),
            reloads,
        };
        let mut instance = running.build(Reading::First).await?;
        // Before what may take long: /ready says what is waited for.
        let pages = running.http.open(std::mem::take(&mut instance.mounts)).await?;
        running.http.show(pages);
        running.wait(&mut instance).await.iter().for_each(Lacking::warn);
        let opened = running.listeners.open(&instance.listeners)?;
        running.listeners.start_workers(&running.clock)?;
        running.switch(instance, opened).await;
        Ok(running)
    }

    /// Reads and sets up the configuration.
    async fn build(&self, reading: Reading) -> Result<Instance, String> {
        let (control, clock, before) = (self.control.clone(), self.clock.clone(), self.generation.carried.clone());
        apart("set up the configuration", move || control.build(reading, clock, &before)).await?
    }

    /// Waits for what has to be waited for; returns what has not come in time.
    async fn wait(&self, instance: &mut Instance) -> Vec<Lacking> {
        let mut carried = tasks::Running::default();
        carried.start_carried(&instance.carried, &self.failures.0);
        carried.detach();
        let mut lacking = Vec::new();
        for gate in std::mem::take(&mut instance.gates) {
            if let Err(what) = gate.wait.await {
                lacking.push(Lacking { directive: gate.directive, what });
            }
        }
        lacking
    }

    /// Serves `instance` from now on, and nothing of what was served before.
    async fn switch(&mut self, instance: Instance, opened: Vec<Opened>) {
        output::set_debug(instance.debug);
        panics::configure(instance.debug, instance.stacktrace);
        let served = Arc::new(Served { hash: instance.hash, inputs: instance.inputs });
        *self.control.served.lock().unwrap_or_else(PoisonError::into_inner) = served;
        let closing = self.listeners.switch(&instance.listeners, opened);
        let (carried, farewells, chains) = (instance.carried, instance.farewells, instance.chains);
        let mut new = Generation { carried, farewells, chains, ..Default::default() };
        for mut tasks in instance.tasks {
            new.tasks.start(tasks.take(), &new.stop, &self.failures.0);
        }
        let old = std::mem::replace(&mut self.generation, new);
        self.listeners.close(closing).await;
        old.stop.stop();
        old.tasks.end().await;
    }

    /// `ZONE:PORT` of everything that is served.
    pub fn zones(&self) -> impl Iterator<Item = &str> {
        self.listeners.zones()
    }
}

/// Serving.
impl Running {
    /// Serves until told to stop; the exit status.
    pub async fn serve(mut self, mut signals: Signals) -> ExitCode {
        if self.listeners.is_empty() {
            return ExitCode::SUCCESS; // every address is excepted: nothing to serve (CoreDNS ends too)
        }
        loop {
            tokio::select! {
                Some(failure) = self.failures.1.recv() => return output::fatal(&failure),
                Some((attempt, done)) = self.reloads.recv() => {
                    // Who asked may have ended with what it belongs to.
                    let _ = done.send(self.reload(attempt, &mut signals).await);
                }
                order = signals.next() => match order {
                    Order::Reload => self.reload_by_signal(&mut signals).await,
                    Order::Succeed => self.start_successor(),
                    Order::Terminate | Order::Interrupt | Order::Quit => return self.end(order, &mut signals).await,
                },
            }
        }
    }

    /// Replaces what is served by what the configuration says now. A failure changes nothing, and is counted.
    async fn reload(&mut self, attempt: Attempt, signals: &mut Signals) -> Result<(), String> {
        if attempt == Attempt::First {
            tracing::info!("Reloading");
        }
        if let Err(e) = self.try_reload(signals).await {
            metrics::reload_failed();
            if attempt == Attempt::First {
                tracing::error!("Restart failed: {e}");
            }
            return Err(e);
        }
        tracing::info!("Reloading complete");
        Ok(())
    }

    async fn reload_by_signal(&mut self, signals: &mut Signals) {
        tracing::info!("SIGUSR1: Reloading");
        if !self.control.origin.is_file() {
            metrics::reload_failed();
            tracing::error!("SIGUSR1: no Caddyfile loader with which to reload Caddyfile");
        } else if let Err(e) = self.reload(Attempt::First, signals).await {
            tracing::error!("SIGUSR1: starting with listener file descriptors: {e}");
        }
    }

    async fn try_reload(&mut self, signals: &mut Signals) -> Result<(), String> {
        // What is set up and waited for may take long; the order to end does not wait for it.
        let prepared = signals.unless_ended(self.prepare()).await;
        let (instance, pages, opened) = prepared.unwrap_or_else(|| Err("the server ends".into()))?;
        // Nothing can fail from here on.
        self.http.show(pages);
        self.control.generation.fetch_add(1, Relaxed);
        self.switch(instance, opened).await;
        Ok(())
    }

    /// Does all of a reload that can fail, beside what is served.
    async fn prepare(&self) -> Result<(Instance, Pages, Vec<Opened>), String> {
        let mut instance = self.build(Reading::Again).await?;
        if instance.listeners.is_empty() {
            return Err("no server block listens on any address".into());
        }
        for lacking in self.wait(&mut instance).await {
            if self.generation.is_ready(lacking.directive) {
                let Lacking { directive, what } = lacking;
                return Err(format!("plugin/{directive}: {what}, in place of one that is ready"));
            }
            lacking.warn();
        }
        let pages = self.http.open(std::mem::take(&mut instance.mounts)).await?;
        let opened = self.listeners.open(&instance.listeners)?;
        Ok((instance, pages, opened))
    }

    /// Starts this program again with the same arguments; once it serves, it ends this process with SIGTERM.
    fn start_successor(&self) {
        let started = std::env::current_exe().and_then(|exe| {
            std::process::Command::new(exe)
                .args(std::env::args_os().skip(1))
                .env(boot::PREDECESSOR, std::process::id().to_string())
                .spawn()
        });
        match started {
            Ok(child) => tracing::info!("SIGUSR2: Started process {}", child.id()),
            Err(e) => tracing::error!("SIGUSR2: cannot start a successor: {e}"),
        }
    }
}

/// Ending.
impl Running {
    /// Ends as `order` says; the exit status. The order of a signal that comes meanwhile may cut that short.
    async fn end(mut self, order: Order, signals: &mut Signals) -> ExitCode {
        match order {
            Order::Terminate => tracing::info!("SIGTERM: Shutting down servers then terminating"),
            Order::Interrupt => tracing::info!("SIGINT: Shutting down"),
            _ => (),
        }
        let pidfile = PidFile(self.options.pidfile.clone());
        if order == Order::Quit {
            return ExitCode::SUCCESS;
        }
        // At SIGINT it goes first, otherwise once everybody was told.
        let pidfile = (order == Order::Terminate).then_some(pidfile);
        let interrupted = Cell::new(order == Order::Interrupt);
        let mut work = std::pin::pin!(async {
            self.farewell().await;
            if !interrupted.get() {
                drop(pidfile);
                self.stop().await;
            }
        });
        loop {
            tokio::select! {
                () = &mut work => return ExitCode::SUCCESS,
                order = signals.next() => match order {
                    Order::Quit => return ExitCode::SUCCESS,
                    Order::Interrupt if interrupted.replace(true) => {
                        tracing::info!("SIGINT: Force quit");
                        return ExitCode::from(2);
                    }
                    Order::Interrupt => tracing::info!("SIGINT: Shutting down"),
                    Order::Terminate | Order::Reload | Order::Succeed => (),
                },
            }
        }
    }

    /// Says good-bye: queries are still answered, while /ready says 503, and is closed soon.
    async fn farewell(&mut self) {
        self.http.say_that_it_stops();
        let mut all = tokio::task::JoinSet::new();
        std::mem::take(&mut self.generation.farewells).into_iter().for_each(|f| drop(all.spawn(f())));
        let mut said = std::pin::pin!(async { while all.join_next().await.is_some() {} });
        if tokio::time::timeout(NOTICE, &mut said).await.is_err() {
            self.http.close_what_has_stopped();
            said.await;
        }
    }

    /// Answers what has arrived, then ends everything.
    async fn stop(mut self) {
        let pages = self.http.close();
        let ids = self.listeners.forget_all();
        tokio::join!(pages, self.listeners.close(ids));
        self.generation.stop.stop();
        self.generation.tasks.end().await;
    }
}

/// The file with the ID of this process, removed when this is dropped; it may be that of a successor meanwhile.
struct PidFile(String);

impl Drop for PidFile {
    fn drop(&mut self) {
        let ours = |text: String| text.trim() == std::process::id().to_string();
        if !self.0.is_empty() && std::fs::read_to_string(&self.0).is_ok_and(ours) {
            // There is nothing to be done about it if that fails.
            let _ = std::fs::remove_file(&self.0);
        }
    }
}
