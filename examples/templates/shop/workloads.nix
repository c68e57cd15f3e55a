# The workloads by name. Each is a function, called once for each system.
{
  # A web server, with its pages in files of the workload.
  storefront = { pkgs, namespace, ... }: {
    package = pkgs.darkhttpd;
    args = [ "/srv/www" "--port" "8080" ];
    files."/srv/www/index.html" = "<!doctype html>\n<title>${namespace}</title>\n<h1>The shop</h1>\n";
    ports.http = 8080;
    probes.readiness.httpGet = { path = "/"; port = "http"; };
    resources.limits.memory = "128Mi";
    service = { };
  };

  # A database with storage that stays.
  database = { pkgs, ... }: {
    kind = "StatefulSet";
    package = pkgs.valkey;
    command = "${pkgs.valkey}/bin/valkey-server";
    args = [ "--dir" "/data" "--appendonly" "yes" "--protected-mode" "no" ];
    ports.valkey = 6379;
    probes.readiness.tcpSocket.port = "valkey";
    volumeClaims.data = { mountPath = "/data"; storage = "1Gi"; };
    replicas = 1;
    # One replica: a budget would keep its node from being drained, or allow what has no effect.
    disruptionBudget = null;
    service = { };
  };

  # Every night: whether the storefront can be reached from within the cluster.
  nightly-check = { pkgs, ... }: {
    kind = "CronJob";
    package = pkgs.curl;
    args = [ "--fail" "--silent" "--show-error" "http://storefront:8080/" ];
    cronJob = { schedule = "30 3 * * *"; timeZone = "Etc/UTC"; };
    job.backoffLimit = 2;
  };
}
