//! What servers are measured at.

use crate::questions::{self, Question};

/// A kind of load.
pub struct Work {
    /// As it is chosen and shown.
    pub name: &'static str,
    /// What is in its table.
    pub title: &'static str,
    /// Services of the cluster, with [`ENDPOINTS`] each.
    pub services: usize,
    pub asked: Asked,
    pub transport: Transport,
    pub logging: Logging,
    pub figure: Figure,
}

/// Endpoints of a service.
pub const ENDPOINTS: usize = 10;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Names of the cluster, and some that it does not have.
    Cluster,
    /// The same names of an upstream again and again.
    Hits,
    /// Names of an upstream that nobody has asked for before.
    Misses,
}

/// How questions come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Udp,
    /// Over connections that are kept.
    Tcp,
}

/// Whether every query is logged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Logging {
    Off,
    On,
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// CPU time a query, under as much load as there can be.
    Cost,
    /// How long a query takes, under a tenth of that.
    Latency,
}

/// All kinds.
pub const ALL: &[Work] = &[
    work("cluster", "names of the cluster", Asked::Cluster),
    Work {
        services: 10_000,
        ..work("cluster-100k", "names of a cluster of 10,000 services, 100,000 endpoints", Asked::Cluster)
    },
    work("hit", "names of an upstream, from the cache", Asked::Hits),
    work("miss", "names of an upstream, forwarded", Asked::Misses),
    Work {
        transport: Transport::Tcp,
        ..work("tcp", "names of the cluster, over TCP connections that are kept", Asked::Cluster)
    },
    Work { logging: Logging::On, ..work("log", "names of the cluster, every query logged", Asked::Cluster) },
    Work {
        figure: Figure::Latency,
        ..work("latency", "names of the cluster, at a tenth of the load that the echo answers", Asked::Cluster)
    },
];

const fn work(name: &'static str, title: &'static str, asked: Asked) -> Work {
    let (transport, logging, figure) = (Transport::Udp, Logging::Off, Figure::Cost);
    Work { name, title, services: 1_000, asked, transport, logging, figure }
}

impl Work {
    /// What is asked to warm up, and then to measure for so many seconds.
    pub fn questions(&self, seconds: u64) -> (Vec<Question>, Vec<Question>) {
        match self.asked {
            Asked::Cluster => (questions::cluster(self.services), questions::cluster(self.services)),
            Asked::Hits => (questions::hits(), questions::hits()),
            Asked::Misses => (questions::misses("warm", 1), questions::misses("cold", seconds)),
        }
    }

    /// Names that a server answers with NOERROR as soon as it knows all.
    pub fn last_names(&self) -> Vec<String> {
        match self.asked {
            Asked::Cluster => questions::last_of_cluster(self.services),
            Asked::Hits | Asked::Misses => vec![questions::host(0)],
        }
    }
}
