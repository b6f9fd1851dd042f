//! What only the AMQP broker promises.

mod client;
mod delay;
mod ear;
mod replies;
mod resume;
mod topology;

use std::sync::Arc;
use std::time::Duration;

use fastq_core::broker::Broker;
use fastq_core::broker::amqp::{AmqpBroker, AmqpConfig};
use fastq_core::clock::Clock;

use crate::rabbitmq_server;

/// A virtual host of a test's own.
struct Host {
    name: String,
    url: String,
}

impl Host {
    /// An empty one; `None` when no server runs.
    fn new() -> Option<Self> {
        rabbitmq_server::is_running().then(|| {
            let (name, url) = rabbitmq_server::place();
            Self { name, url }
        })
    }

    fn broker(&self, options: &str) -> Arc<dyn Broker> {
        Arc::new(AmqpBroker::new(AmqpConfig::at(&self.url, options).unwrap(), Clock::system()))
    }

    /// Closes its connections, as the management tool does.
    fn hang_up(&self) {
        rabbitmq_server::command(&["close_all_connections", "--vhost", &self.name, "closed by a test"]);
    }

    /// The URL of a user who may not make a queue.
    fn without_right_to_make(&self, queue: &str) -> String {
        rabbitmq_server::command(&["add_user", &self.name, "secret"]);
        let any_other = format!("^(?!{queue}$).*");
        let rights = ["set_permissions", "-p", &self.name, &self.name, &any_other, ".*", ".*"];
        rabbitmq_server::command(&rights);
        self.url.replacen("guest:guest", &format!("{}:secret", self.name), 1)
    }

    fn delete_queue(&self, queue: &str) {
        rabbitmq_server::command(&["delete_queue", "--vhost", &self.name, queue]);
    }
}

/// The server's tool takes seconds, on a busy machine many.
const LONG: Duration = Duration::from_secs(120);

fn block_on<T>(story: impl Future<Output = T>) -> T {
    crate::support::pushes(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LONG, story).await.expect("within the limit") })
}
