//! The command line: flags to options; no input or output.
//!
//! Flags are those of CoreDNS in the syntax of Go's flag package (`-conf X`, `--conf=X`), which no argument crate reads:
//! they take a word behind one dash for a bundle of letters.

use std::fmt::Write;

/// What the process is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve.
    Serve(Options),
    /// Print name and version.
    Version,
    /// Print the directives.
    Plugins,
    /// Print the flags.
    Help,
}

/// How to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The Corefile (`-conf`): a path, or `stdin`; empty for `./Corefile` or the built-in default.
    pub conf: String,
    /// Port of addresses without one (`-dns.port`, `-p`), as written.
    pub port: String,
    /// File for the process ID (`-pidfile`); empty for none.
    pub pidfile: String,
    /// No start-up lines (`-quiet`).
    pub quiet: bool,
    /// How log lines are written (`-log-format`).
    pub log: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// As CoreDNS writes them.
    Text,
    /// A JSON object each.
    Json,
}

/// Why the command line is refused: the text, and whether the flags are to be shown with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A flag is wrong: exit status 2, with the usage.
    Flag(String),
    /// A word too much: exit status 1.
    Words(String),
}

/// A flag: its name, the name of its value (empty for a switch), what it does.
struct Flag(&'static str, &'static str, &'static str);

const FLAGS: &[Flag] = &[
    Flag("conf", "file", "Corefile to load; \"stdin\" reads it from standard input"),
    Flag("dns.port", "port", "port of server block addresses that name none (default \"53\")"),
    Flag("log-format", "format", "how log lines are written: text (default) or json"),
    Flag("p", "port", "the same as -dns.port"),
    Flag("pidfile", "path", "file to write the process ID to"),
    Flag("plugins", "", "list the directives and exit"),
    Flag("quiet", "", "no lines about version and zones at the start"),
    Flag("version", "", "show the version and exit"),
];

/// Reads the arguments behind the program's name.
///
/// # Errors
/// A flag that does not exist, has no value or a wrong one; words that are no flags.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, Refused> {
    let mut options =
        Options { conf: String::new(), port: "53".into(), pidfile: String::new(), quiet: false, log: LogFormat::Text };
    let (mut version, mut plugins) = (false, false);
    let mut arguments = arguments.into_iter();
    while let Some(word) = arguments.next() {
        let Some(flag) = word.strip_prefix("--").or(word.strip_prefix('-')).filter(|f| !f.is_empty()) else {
            let terminator = word == "--";
            let words: Vec<String> = (!terminator).then_some(word).into_iter().chain(arguments).collect();
            return match words.is_empty() {
                true => break_off(version, plugins, options),
                false => Err(Refused::Words(format!("extra command line arguments: [{}]", words.join(" ")))),
            };
        };
        let (name, value) = flag.split_once('=').map_or((flag, None), |(n, v)| (n, Some(v.to_owned())));
        if name == "h" || name == "help" {
            return Ok(Command::Help);
        }
        let Some(known) = FLAGS.iter().find(|f| f.0 == name) else {
            return Err(Refused::Flag(format!("flag provided but not defined: -{name}")));
        };
        if known.1.is_empty() {
            let on = switch(name, value.as_deref())?;
            match name {
                "plugins" => plugins = on,
                "quiet" => options.quiet = on,
                _ => version = on,
            }
            continue;
        }
        let missing = || Refused::Flag(format!("flag needs an argument: -{name}"));
        let value = value.or_else(|| arguments.next()).ok_or_else(missing)?;
        match name {
            "conf" => options.conf = value,
            "pidfile" => options.pidfile = value,
            "log-format" => options.log = log_format(&value)?,
            _ => options.port = value,
        }
    }
    break_off(version, plugins, options)
}

fn break_off(version: bool, plugins: bool, options: Options) -> Result<Command, Refused> {
    Ok(match () {
        () if version => Command::Version,
        () if plugins => Command::Plugins,
        () => Command::Serve(options),
    })
}

/// The value of a switch: on without one, else as Go's `strconv.ParseBool` reads it.
fn switch(name: &str, value: Option<&str>) -> Result<bool, Refused> {
    match value {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
        Some(v) => Err(Refused::Flag(format!("invalid boolean value \"{v}\" for -{name}: parse error"))),
    }
}

fn log_format(value: &str) -> Result<LogFormat, Refused> {
    match value {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        v => Err(Refused::Flag(format!("invalid value \"{v}\" for flag -log-format: text or json expected"))),
    }
}

/// The flags, for people.
pub fn usage(program: &str) -> String {
    let mut text = format!("Usage of {program}:\n");
    for Flag(name, value, help) in FLAGS {
        let gap = if value.is_empty() { "" } else { " " };
        let _ = writeln!(text, "  -{name}{gap}{value}\n    \t{help}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Refused> {
        parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn flags_as_go_reads_them() {
        let Ok(Command::Serve(o)) = parsed("-conf a --p=5353 -quiet -pidfile=x") else { panic!() };
        assert_eq!((o.conf.as_str(), o.port.as_str(), o.pidfile.as_str(), o.quiet), ("a", "5353", "x", true));
        let Ok(Command::Serve(o)) = parsed("-quiet=false -log-format json") else { panic!() };
        assert_eq!((o.quiet, o.log), (false, LogFormat::Json));
        assert_eq!(parsed("-version"), Ok(Command::Version));
        assert_eq!(parsed("-plugins -quiet"), Ok(Command::Plugins));
        assert_eq!(parsed("-h"), Ok(Command::Help));
    }

    #[test]
    fn what_is_refused() {
        let flag = |text: &str| Err(Refused::Flag(text.into()));
        assert_eq!(parsed("-nosuch"), flag("flag provided but not defined: -nosuch"));
        assert_eq!(parsed("-conf"), flag("flag needs an argument: -conf"));
        assert_eq!(parsed("-quiet=maybe"), flag("invalid boolean value \"maybe\" for -quiet: parse error"));
        assert_eq!(parsed("x y"), Err(Refused::Words("extra command line arguments: [x y]".into())));
    }
}
