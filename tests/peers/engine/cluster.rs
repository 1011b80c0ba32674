//! A cluster of real servers on loopback: ZooKeeper and two shards of two ClickHouse replicas, in a temporary folder. Everything ends with the test.
//!
//! Probes reach the servers by TLS and with a password, through ports of the test's own, which can be cut.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tracehop::store::engine::{Engine, EngineSettings, schema};
use tracehop::web::client::{BaseUrl, ClientSettings, SecretHeader};

/// How long a server may take to answer after its start.
const START: Duration = Duration::from_secs(60);

/// Of the probes, at every server.
pub const USER: &str = "tracehop";
pub const PASSWORD: &str = "of-the-probes";

pub struct Cluster {
    dir: tempfile::TempDir,
    /// Vouches for the servers, PEM.
    roots: String,
    keeper_port: u16,
    keeper: Option<Child>,
    /// By shard, then replica.
    pub nodes: Vec<Vec<Server>>,
}

pub struct Server {
    config: PathBuf,
    /// Of the server itself, for the test.
    http: u16,
    tcp: u16,
    interserver: u16,
    child: Option<Child>,
    pub gate: Gate,
}

impl Cluster {
    /// Starts one and brings its schema up to date.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut cluster = Self {
            roots: certify(dir.path()),
            keeper_port: free_port(),
            keeper: None,
            nodes: (0..2)
                .map(|_| (0..2).map(|_| Server::unborn()).collect())
                .collect(),
            dir,
        };
        cluster.start_keeper();
        for shard in 0..2 {
            for replica in 0..2 {
                cluster.configure(shard, replica);
                cluster.start_server(shard, replica);
            }
        }
        for server in cluster.nodes.iter().flatten() {
            server.wait();
        }
        let engine = Engine::new(cluster.settings(1, 1)).unwrap();
        for node in engine.nodes() {
            migrate(&engine, node);
        }
        cluster
    }

    /// What a probe is told of it.
    pub fn settings(&self, probe: u16, quorum: u8) -> EngineSettings {
        self.settings_with(PASSWORD, probe, quorum)
    }

    pub fn settings_with(&self, password: &str, probe: u16, quorum: u8) -> EngineSettings {
        let both = STANDARD.encode(format!("{USER}:{password}"));
        let secret = SecretHeader::new("authorization", &format!("Basic {both}"));
        let client = |server: &Server| ClientSettings {
            url: BaseUrl::parse(&format!("https://127.0.0.1:{}", server.gate.port)).unwrap(),
            secret: secret.clone(),
            roots: Some(self.roots.clone().into_bytes()),
            identity: None,
            timeout: Duration::from_secs(10),
            most: 64 << 20,
            inside: true,
        };
        let shards = self.nodes.iter();
        EngineSettings {
            probe,
            name: format!("probe-{probe}").into(),
            shards: shards.map(|s| s.iter().map(client).collect()).collect(),
            quorum,
            retention: Duration::from_secs(548 * 86_400),
        }
    }

    fn start_keeper(&mut self) {
        let data = self.dir.path().join("keeper");
        fs::create_dir_all(&data).unwrap();
        let config = self.dir.path().join("keeper.cfg");
        let text = format!(
            "tickTime=1000\ndataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\nautopurge.purgeInterval=1\n",
            data.display(),
            self.keeper_port
        );
        fs::write(&config, text).unwrap();
        let child = Command::new("java")
            .args(["-Xmx128m", "-Dzookeeper.admin.enableServer=false"])
            .args(["-cp", "/usr/share/java/zookeeper.jar"])
            .arg("org.apache.zookeeper.server.quorum.QuorumPeerMain")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("java; tests/run installs zookeeper");
        self.keeper = Some(child);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.keeper_port)).is_err() {
            assert!(begun.elapsed() < START, "ZooKeeper does not listen");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn configure(&mut self, shard: usize, replica: usize) {
        let folder = self.dir.path().join(format!("node-{shard}-{replica}"));
        for name in ["data", "tmp", "log", "schemas"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let mut remote = String::new();
        for servers in &self.nodes {
            remote.push_str("<shard><internal_replication>true</internal_replication>");
            for server in servers {
                remote.push_str(&format!(
                    "<replica><host>127.0.0.1</host><port>{}</port></replica>",
                    server.tcp
                ));
            }
            remote.push_str("</shard>");
        }
        let at = folder.display();
        let tls = self.dir.path().display();
        let keeper = self.keeper_port;
        let server = &mut self.nodes[shard][replica];
        let text = format!(
            "<yandex>
<logger><level>warning</level><log>{at}/log/server.log</log><errorlog>{at}/log/error.log</errorlog><size>10M</size><count>1</count></logger>
<http_port>{http}</http_port><https_port>{https}</https_port><tcp_port>{tcp}</tcp_port><interserver_http_port>{inter}</interserver_http_port>
<openSSL><server><certificateFile>{tls}/cert.pem</certificateFile><privateKeyFile>{tls}/key.pem</privateKeyFile><verificationMode>none</verificationMode></server></openSSL>
<interserver_http_host>127.0.0.1</interserver_http_host><listen_host>127.0.0.1</listen_host>
<max_concurrent_queries>100</max_concurrent_queries><keep_alive_timeout>10</keep_alive_timeout>
<uncompressed_cache_size>0</uncompressed_cache_size><mark_cache_size>33554432</mark_cache_size>
<path>{at}/data/</path><tmp_path>{at}/tmp/</tmp_path><format_schema_path>{at}/schemas/</format_schema_path>
<users_config>{at}/users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
<timezone>UTC</timezone>
<remote_servers><tracehop>{remote}</tracehop></remote_servers>
<zookeeper><node><host>127.0.0.1</host><port>{keeper}</port></node><session_timeout_ms>10000</session_timeout_ms></zookeeper>
<macros><shard>{shard}</shard><replica>{replica}</replica></macros>
</yandex>
",
            http = server.http,
            https = server.gate.target,
            tcp = server.tcp,
            inter = server.interserver,
        );
        server.config = folder.join("config.xml");
        fs::write(&server.config, text).unwrap();
        fs::write(
            folder.join("users.xml"),
            format!(
                "<yandex><profiles><default><max_memory_usage>1000000000</max_memory_usage><background_pool_size>4</background_pool_size></default></profiles>
<users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>
<{USER}><password>{PASSWORD}</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></{USER}></users>
<quotas><default></default></quotas></yandex>
"
            ),
        )
        .unwrap();
    }

    pub fn start_server(&mut self, shard: usize, replica: usize) {
        let server = &mut self.nodes[shard][replica];
        let child = Command::new("clickhouse-server")
            .arg(format!("--config-file={}", server.config.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("clickhouse-server; tests/run installs it");
        server.child = Some(child);
    }

    /// SIGKILL, as a power cut does it.
    pub fn kill_server(&mut self, shard: usize, replica: usize) {
        end(&mut self.nodes[shard][replica].child);
    }

    /// Stops ZooKeeper in its tracks, or lets it go on.
    pub fn pause_keeper(&self, pause: bool) {
        let signal = if pause { "-STOP" } else { "-CONT" };
        let pid = self.keeper.as_ref().unwrap().id().to_string();
        super::super::run("kill", &[signal, &pid]);
    }

    /// Cuts a shard off from the probes, or lets it be reached again.
    pub fn cut(&self, shard: usize, cut: bool) {
        for server in &self.nodes[shard] {
            server.gate.cut(cut);
        }
    }

    /// An answer of the server itself, whatever its gate.
    pub fn ask(&self, shard: usize, replica: usize, statement: &str) -> Result<String, String> {
        self.nodes[shard][replica].ask(statement)
    }

    /// Octets on disk.
    pub fn octets(&self) -> u64 {
        let out = super::super::run("du", &["-sb", &self.dir.path().to_string_lossy()]);
        out.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// Resident memory of the largest server, in KiB.
    pub fn memory(&self) -> u64 {
        let servers = self.nodes.iter().flatten();
        let pids = servers.filter_map(|s| Some(s.child.as_ref()?.id()));
        pids.filter_map(resident).max().unwrap_or(0)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in self.nodes.iter_mut().flatten() {
            end(&mut server.child);
        }
        end(&mut self.keeper);
    }
}

impl Server {
    fn unborn() -> Self {
        Self {
            config: PathBuf::new(),
            http: free_port(),
            tcp: free_port(),
            interserver: free_port(),
            child: None,
            gate: Gate::before(free_port()),
        }
    }

    /// Waits until it answers.
    pub fn wait(&self) {
        let begun = Instant::now();
        while self.ask("SELECT 1").is_err() {
            assert!(begun.elapsed() < START, "a server does not answer");
            thread::sleep(Duration::from_millis(100));
        }
    }

    pub fn ask(&self, statement: &str) -> Result<String, String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).map_err(|e| e.to_string())?;
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let length = statement.len();
        let request =
            format!("POST / HTTP/1.0\r\nHost: here\r\nContent-Length: {length}\r\n\r\n{statement}");
        stream
            .write_all(request.as_bytes())
            .map_err(|e| e.to_string())?;
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .map_err(|e| e.to_string())?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        match head.contains(" 200 ") {
            true => Ok(body.to_owned()),
            false => Err(body.to_owned()),
        }
    }
}

/// A certificate for the servers and its key, as files. Gives who vouches for it.
fn certify(folder: &Path) -> String {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let roots = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    roots
}

fn migrate(engine: &Engine, node: tracehop::store::engine::client::NodeId) {
    let begun = Instant::now();
    loop {
        // The server may not have its session with the coordinator yet.
        match schema::migrate(engine, node) {
            Ok(_) => return,
            Err(e) => assert!(begun.elapsed() < START, "{e}"),
        }
        thread::sleep(Duration::from_millis(200));
    }
}

fn end(child: &mut Option<Child>) {
    if let Some(mut child) = child.take() {
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
    let status = status.ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A port that leads to another while it is not cut.
pub struct Gate {
    pub port: u16,
    target: u16,
    is_cut: Arc<AtomicBool>,
    through: Arc<Mutex<Vec<TcpStream>>>,
}

impl Gate {
    fn before(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Self {
            port: listener.local_addr().unwrap().port(),
            target,
            is_cut: Arc::default(),
            through: Arc::default(),
        };
        let (is_cut, through) = (gate.is_cut.clone(), gate.through.clone());
        let target = SocketAddr::from(([127, 0, 0, 1], target));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                if is_cut.load(Ordering::Relaxed) {
                    continue;
                }
                let Ok(other) = TcpStream::connect(target) else {
                    continue;
                };
                let mut through = through.lock().unwrap();
                through.retain(|s| s.peer_addr().is_ok());
                through.push(stream.try_clone().unwrap());
                let back = (other.try_clone().unwrap(), stream.try_clone().unwrap());
                thread::spawn(move || pass(stream, other));
                thread::spawn(move || pass(back.0, back.1));
            }
        });
        gate
    }

    fn cut(&self, cut: bool) {
        self.is_cut.store(cut, Ordering::Relaxed);
        if cut {
            for stream in self.through.lock().unwrap().drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}
