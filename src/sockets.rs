//! Opening sockets: address families, reuse of ports, errors in the words people search for.

use crate::udp::batch;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsFd;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;
/// Octets of datagrams that may wait to be read: a few milliseconds of full load. The system may give less.
const RECEIVE_BUFFER: usize = 4 << 20;

/// Addresses of a machine that have a socket of their own, at most.
const MAX_OWN: usize = 8;

/// Where a listener listens: an address of `bind`, or all addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The address, with a zone for link-local ones; empty for all.
    pub host: String,
    /// The port; 0 lets the system choose.
    pub port: u16,
}

impl Place {
    /// The place that an address stands for, however it is spelt: one text for each (RFC 5952), and one of IPv4 that is written as
    /// one of IPv6 (RFC 4291 2.5.5.2) is one of IPv4.
    pub fn new(host: &str, port: u16) -> Place {
        let one_text = host.parse::<IpAddr>().map(|ip| ip.to_canonical().to_string());
        Place { host: one_text.unwrap_or_else(|_| host.to_owned()), port }
    }

    /// `host:port`, as logs and metrics print it.
    pub fn text(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether it stands for all addresses.
    pub fn is_everywhere(&self) -> bool {
        matches!(&*self.host, "" | "0.0.0.0" | "::")
    }

    /// Whether its host is a name, which has to be looked up.
    pub fn is_name(&self) -> bool {
        let (address, _) = self.host.split_once('%').unwrap_or((&self.host, ""));
        !address.is_empty() && address.parse::<IpAddr>().is_err()
    }

    /// The address to open. All addresses of IPv4 are those of IPv6, too (Go behaviour).
    ///
    /// # Errors
    /// The host is a name, or the interface of a link-local address does not exist.
    pub fn address(&self) -> io::Result<SocketAddr> {
        let (host, scope) = self.host.split_once('%').unwrap_or((&self.host, ""));
        if host.is_empty() || host == "0.0.0.0" {
            let any: IpAddr = if has_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
            return Ok(SocketAddr::new(any, self.port));
        }
        match host.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no such host"))? {
            IpAddr::V6(ip) if !scope.is_empty() => {
                Ok(SocketAddrV6::new(ip, self.port, 0, interface_index(scope)?).into())
            }
            ip => Ok(SocketAddr::new(ip, self.port)),
        }
    }
}

/// The sockets of one worker for one address.
pub struct Sockets {
    /// For datagrams. All addresses of a machine are one socket for each family: a datagram of IPv4 costs a tenth more over a
    /// socket of IPv6. Beside them, addresses known to be asked have one of their own, which need not be told for each datagram.
    pub udp: Vec<std::net::UdpSocket>,
    /// For connections.
    pub tcp: std::net::TcpListener,
}

/// The addresses of this machine, where it has few and no network but one: those of a pod. To a machine with more, others may add
/// addresses for servers of their own (those of services, say), and it has none here.
pub fn own_addresses() -> Vec<IpAddr> {
    // Without them there are the sockets for all addresses.
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let networks = interfaces.iter().filter(|interface| !interface.is_loopback()).map(|interface| &interface.name);
    let mut addresses: Vec<IpAddr> =
        interfaces.iter().filter(|i| !i.is_link_local()).map(if_addrs::Interface::ip).collect();
    addresses.sort_unstable();
    addresses.dedup();
    if networks.collect::<BTreeSet<_>>().len() > 1 || addresses.len() > MAX_OWN {
        addresses.clear();
    }
    addresses
}

/// Opens sockets at `place` for `count` workers, which share its port, and for the addresses `own` of all that it stands for; returns
/// the address with its port, too.
///
/// # Errors
/// What could not be opened, in CoreDNS's words.
pub fn open(place: &Place, count: usize, own: &[IpAddr]) -> Result<(SocketAddr, Vec<Sockets>), String> {
    let failed = |what: &str, e: io::Error| {
        format!("{what} {}: bind: {}{}", place.text(), api::os_words(&e), advice(&e, "in the server block's address"))
    };
    let mut address = place.address().map_err(|e| failed("Listen: listen tcp", e))?;
    let mut opened = Vec::new();
    for _ in 0..count {
        let tcp = tcp(address, BACKLOG).map_err(|e| failed("Listen: listen tcp", e))?;
        address.set_port(tcp.local_addr().map_err(|e| failed("Listen: listen tcp", e))?.port());
        let for_all = families(address).map(udp).collect::<io::Result<Vec<_>>>();
        let for_all = for_all.map_err(|e| failed("ListenPacket: listen udp", e))?;
        // An address that is gone again, or is not ready yet, has those for all.
        let for_own = own.iter().filter_map(|ip| udp(SocketAddr::new(*ip, address.port())).ok());
        opened.push(Sockets { udp: for_all.into_iter().chain(for_own).collect(), tcp });
    }
    Ok((address, opened))
}

/// Takes a socket for datagrams out of those that share its port: what comes from now on goes to the others, of this process or
/// another, and what has reached it can still be read and answered.
///
/// Closing it would lose what is queued in it. But a connected socket is none that the system chooses for datagrams of others
/// (Linux since 5.4, `reuseport_select_sock`), so it is connected to itself: nobody else sends from there.
///
/// # Errors
/// The system refuses; the socket goes on getting datagrams.
pub fn take_out(udp: impl AsFd) -> io::Result<()> {
    let udp = udp.as_fd();
    let socket = SockRef::from(&udp);
    let own = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let loopback = match own {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let itself = if own.ip().is_unspecified() { SocketAddr::new(loopback, own.port()) } else { own };
    socket.connect(&itself.into())
}

/// Lets a listening socket begin no more connections; those that have begun come to their end, and can be accepted.
///
/// Closing it would reset them. The first packet of a connection is dropped from now on, so that it is sent again, a second later,
/// and reaches a socket that is open then: packets have to have the highest TTL there is (RFC 5082), which none has in practice,
/// while handshakes under way are not looked at. A filter would be exact, but newer kernels allow it with CAP_NET_ADMIN only.
///
/// # Errors
/// The system refuses; connections go on to come.
pub fn begin_no_more(tcp: impl AsFd) -> io::Result<()> {
    batch::set_least_ttl(tcp.as_fd(), u8::MAX, is_ipv6(&tcp)?)
}

/// Lets a connection be heard that was accepted after [`begin_no_more`], and has its limit: what was dropped comes again.
///
/// # Errors
/// The system refuses.
pub fn let_go_on(tcp: impl AsFd) -> io::Result<()> {
    batch::set_least_ttl(tcp.as_fd(), 0, is_ipv6(&tcp)?)
}

fn is_ipv6(socket: &impl AsFd) -> io::Result<bool> {
    Ok(SockRef::from(socket).local_addr()?.is_ipv6())
}

/// A line that says what to do when an address cannot be had, with a line break before it; empty where there is nothing to
/// say. `setting` is where the port is chosen.
pub fn advice(e: &io::Error, setting: &str) -> String {
    match e.kind() {
        io::ErrorKind::AddrInUse => format!(
            "\n  another process listens there (`ss -lntup` shows which): stop it, or choose another port {setting}"
        ),
        io::ErrorKind::AddrNotAvailable => "\n  no interface of this machine has this address".into(),
        io::ErrorKind::PermissionDenied => format!(
            "\n  ports below 1024 need the capability CAP_NET_BIND_SERVICE: grant it, or choose another port {setting}"
        ),
        _ => String::new(),
    }
}

/// Opens a socket for connections, of which so many may wait to be accepted.
///
/// # Errors
/// The system refuses.
pub fn tcp(address: SocketAddr, backlog: i32) -> io::Result<std::net::TcpListener> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// An address as datagrams need it: all addresses of IPv6 stand for those of IPv4, too.
fn families(address: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    let all = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let v4 = all.then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())));
    std::iter::once(address).chain(v4)
}

fn udp(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    batch::set_fragments(socket.as_fd(), false)?;
    // Less than asked for is no error: the system has its limits.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    if address.ip().is_unspecified() {
        // Replies have to leave from the address that was asked.
        batch::tell_local(socket.as_fd(), address.is_ipv6())?;
    }
    socket.bind(&SockAddr::from(address))?;
    Ok(socket.into())
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Whether this machine has IPv6 at all.
fn has_ipv6() -> bool {
    Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))
        .is_ok_and(|s| s.bind(&SockAddr::from(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))).is_ok())
}

fn interface_index(name: &str) -> io::Result<u32> {
    let index = std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex"))
        .map_err(|_| io::Error::new(io::ErrorKind::NotFound, "no such network interface"))?;
    index.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no such interface"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_share_a_port_that_the_system_chose() {
        let place = Place { host: "127.0.0.1".into(), port: 0 };
        let (address, opened) = open(&place, 3, &[]).unwrap();
        assert_eq!(opened.len(), 3);
        assert_ne!(address.port(), 0);
        for sockets in opened {
            assert_eq!(sockets.tcp.local_addr().unwrap(), address);
            assert_eq!(sockets.udp.iter().map(|udp| udp.local_addr().unwrap()).collect::<Vec<_>>(), [address]);
        }
    }

    #[test]
    fn a_socket_that_is_taken_out_keeps_what_it_has() {
        let v6 = std::net::UdpSocket::bind("[::1]:0").is_ok(); // a machine may have no IPv6
        for (host, asked) in [("127.0.0.1", "127.0.0.1"), ("", "127.0.0.1"), ("::1", "::1"), ("", "::1")] {
            let asked: IpAddr = asked.parse().unwrap();
            if asked.is_ipv6() && !v6 {
                continue;
            }
            let (address, opened) = open(&Place { host: host.into(), port: 0 }, 2, &[]).unwrap();
            let to = SocketAddr::new(asked, address.port());
            let same = |udp: &&std::net::UdpSocket| udp.local_addr().unwrap().is_ipv6() == asked.is_ipv6();
            let udp = |n: usize| opened[n].udp.iter().find(same).unwrap();
            let clients: Vec<_> = (0..100).map(|_| std::net::UdpSocket::bind((asked, 0)).unwrap()).collect();
            let ask = |octet| clients.iter().for_each(|client| assert_eq!(client.send_to(&[octet], to).unwrap(), 1));
            let got = |n| {
                let mut octets = [0; 2];
                std::iter::from_fn(|| udp(n).recv(&mut octets).ok().map(|_| octets[0])).collect::<Vec<_>>()
            };
            ask(1);
            take_out(udp(0)).unwrap();
            ask(2);
            let (out, stays) = (got(0), got(1));
            assert!(out.iter().all(|octet| *octet == 1) && !out.is_empty(), "{host}");
            assert_eq!(out.len() + stays.len(), 200, "{host}");
            // It still answers, from the port that was asked.
            assert_eq!(udp(0).send_to(&[3], clients[0].local_addr().unwrap()).unwrap(), 1, "{host}");
            assert_eq!(clients[0].recv_from(&mut [0; 2]).unwrap().1, to, "{host}");
        }
    }

    #[test]
    fn a_connection_that_has_begun_is_accepted_and_no_other() {
        use std::net::{TcpListener, TcpStream};
        for (host, to) in [("127.0.0.1", "127.0.0.1"), ("[::1]", "[::1]"), ("[::]", "127.0.0.1")] {
            // A machine may have no IPv6.
            let Ok(listener) = TcpListener::bind(format!("{host}:0")) else { continue };
            let port = listener.local_addr().unwrap().port();
            let address: SocketAddr = format!("{to}:{port}").parse().unwrap();
            let _begun = TcpStream::connect(address).unwrap();
            begin_no_more(&listener).unwrap();
            let late = TcpStream::connect_timeout(&address, std::time::Duration::from_millis(50));
            assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut, "{host}");
            listener.set_nonblocking(true).unwrap();
            listener.accept().unwrap();
            assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }

    /// Connections that are complete when their listener begins no more have its limit.
    #[test]
    fn a_connection_goes_on_with_what_is_sent_again() {
        use std::io::{Read, Write};
        use std::net::{TcpListener, TcpStream};
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        begin_no_more(&server).unwrap();
        client.write_all(b"x").unwrap();
        server.set_read_timeout(Some(std::time::Duration::from_millis(50))).unwrap();
        assert_eq!(server.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let_go_on(&server).unwrap();
        server.set_read_timeout(None).unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 1);
    }

    #[test]
    fn all_addresses_are_a_socket_for_each_family() {
        for host in ["", "0.0.0.0", "::"] {
            let (address, opened) = open(&Place { host: host.into(), port: 0 }, 2, &[]).unwrap();
            for sockets in opened {
                let families: Vec<bool> = sockets.udp.iter().map(|udp| udp.local_addr().unwrap().is_ipv6()).collect();
                assert_eq!(families, if has_ipv6() { vec![true, false] } else { vec![false] }, "{host}");
                assert!(sockets.udp.iter().all(|udp| udp.local_addr().unwrap().port() == address.port()), "{host}");
            }
        }
    }

    #[test]
    fn addresses_that_are_known_have_sockets_of_their_own() {
        let gone: IpAddr = "192.0.2.77".parse().unwrap();
        let own = [gone, Ipv4Addr::LOCALHOST.into()];
        let (address, opened) = open(&Place { host: String::new(), port: 0 }, 2, &own).unwrap();
        let expected = SocketAddr::new(own[1], address.port());
        for sockets in opened {
            let addresses = sockets.udp.iter().map(|udp| udp.local_addr().unwrap());
            let own: Vec<_> = addresses.filter(|address| !address.ip().is_unspecified()).collect();
            assert_eq!(own, [expected], "one that is gone is no error");
        }
    }

    #[test]
    fn an_address_is_one_place_however_it_is_spelt() {
        for (spelt, one) in [
            ("0:0:0:0:0:0:0:1", "::1"),
            ("FD00::A", "fd00::a"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("fe80::1%lo", "fe80::1%lo"),
            ("", ""),
        ] {
            assert_eq!(Place::new(spelt, 53), Place { host: one.into(), port: 53 });
        }
    }

    #[test]
    fn errors_are_in_the_usual_words() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let first_line = |place| open(&place, 1, &[]).err().unwrap().lines().next().unwrap_or_default().to_owned();
        let e = first_line(Place { host: "127.0.0.1".into(), port });
        assert_eq!(e, format!("Listen: listen tcp 127.0.0.1:{port}: bind: address already in use"));
        let e = first_line(Place { host: "192.0.2.77".into(), port: 5 });
        assert_eq!(e, "Listen: listen tcp 192.0.2.77:5: bind: cannot assign requested address");
    }

    #[test]
    fn a_taken_port_comes_with_advice() {
        // Another test may have the same port for connections, which are opened first.
        let opened = |taken: &std::net::UdpSocket| {
            let place = Place { host: "127.0.0.1".into(), port: taken.local_addr().unwrap().port() };
            open(&place, 1, &[]).err().unwrap()
        };
        let (port, e) = std::iter::repeat_with(|| std::net::UdpSocket::bind("127.0.0.1:0").unwrap())
            .map(|taken| (taken.local_addr().unwrap().port(), opened(&taken)))
            .find(|(_, e)| !e.starts_with("Listen:"))
            .unwrap();
        assert_eq!(
            e,
            format!(
                "ListenPacket: listen udp 127.0.0.1:{port}: bind: address already in use\n  another process listens there \
                 (`ss -lntup` shows which): stop it, or choose another port in the server block's address"
            )
        );
    }
}
