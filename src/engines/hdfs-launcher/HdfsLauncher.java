import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.ha.HAServiceProtocol.RequestSource;
import org.apache.hadoop.ha.HAServiceProtocol.StateChangeRequestInfo;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.hdfs.protocol.HdfsConstants.SafeModeAction;
import org.apache.hadoop.hdfs.server.blockmanagement.DatanodeDescriptor;
import org.apache.hadoop.hdfs.server.datanode.DataNode;
import org.apache.hadoop.hdfs.server.namenode.NameNode;
import org.apache.hadoop.metrics2.lib.DefaultMetricsSystem;
import org.apache.hadoop.util.ExitUtil;

/**
 * A trial HDFS on the loopback interface: one NameNode, some DataNodes, or both, in this process.
 *
 * <pre>HdfsLauncher DIR [namenode] [datanode=INDEX ...] [key=value ...]</pre>
 *
 * Ports are those of the settings, else free ones; a part that is started again here keeps its ports. Each line on stdin
 * is a command and is answered by one line of JSON on stdout, `ready` unasked. The process ends with stdin, so it never
 * outlives the one who started it. Logs go to stderr.
 */
public final class HdfsLauncher {
  private static final long READY_TIMEOUT_MS = 60_000;
  private static final long POLL_MS = 20;
  private static final String HOST = "127.0.0.1";

  private final PrintStream answers;
  private final Path dir;
  private final Configuration settings;
  private final boolean hasNameNode;
  private NameNode nameNode;
  private final TreeMap<Integer, Part> parts = new TreeMap<>();

  /** One DataNode, running or not. */
  private static final class Part {
    DataNode node;
    String address = HOST + ":0";
    String http = HOST + ":0";
    String ipc = HOST + ":0";
  }

  private HdfsLauncher(PrintStream answers, String[] args) throws IOException {
    this.answers = answers;
    dir = Paths.get(args[0]).toAbsolutePath();
    settings = new HdfsConfiguration();
    defaults(settings, dir);
    boolean named = false;
    List<String> given = new ArrayList<>();
    for (int i = 1; i < args.length; i++) {
      if (args[i].equals("namenode")) named = true;
      else if (args[i].startsWith("datanode=")) parts.put(Integer.parseInt(args[i].substring(9)), new Part());
      else given.add(args[i]);
    }
    for (String pair : given) {
      int at = pair.indexOf('=');
      if (at < 1) throw new IOException("neither a role nor key=value: " + pair);
      settings.set(pair.substring(0, at), pair.substring(at + 1));
    }
    for (Part part : parts.values()) {
      part.address = settings.get("dfs.datanode.address", part.address);
      part.http = settings.get("dfs.datanode.http.address", part.http);
      part.ipc = settings.get("dfs.datanode.ipc.address", part.ipc);
    }
    hasNameNode = named;
  }

  /** Quick to start and to notice a death; small blocks, so that small files span several. */
  private static void defaults(Configuration c, Path dir) {
    c.set("fs.defaultFS", "hdfs://" + HOST + ":0");
    c.set("hadoop.tmp.dir", dir.toString());
    c.set("hadoop.http.staticuser.user", System.getProperty("user.name"));
    c.set("dfs.namenode.rpc-address", HOST + ":0");
    c.set("dfs.namenode.http-address", HOST + ":0");
    c.set("dfs.namenode.name.dir", dir.resolve("name").toUri().toString());
    c.set("dfs.datanode.address", HOST + ":0");
    c.set("dfs.datanode.http.address", HOST + ":0");
    c.set("dfs.datanode.ipc.address", HOST + ":0");
    c.set("dfs.datanode.hostname", HOST);
    c.setInt("dfs.replication", 1);
    c.set("dfs.blocksize", "8388608");
    c.set("dfs.namenode.fs-limits.min-block-size", "1024");
    c.setInt("dfs.namenode.safemode.extension", 0);
    c.setInt("dfs.heartbeat.interval", 1);
    c.setInt("dfs.namenode.heartbeat.recheck-interval", 1000);
    c.setInt("dfs.ha.tail-edits.period", 1);
    c.setBoolean("dfs.ha.standby.checkpoints", false);
  }

  private void startNameNode() throws Exception {
    nameNode = NameNode.createNameNode(new String[0], new Configuration(settings));
    if (settings.get("dfs.nameservices") != null) return; // an HA pair: every address was settled beforehand
    int rpc = nameNode.getNameNodeAddress().getPort();
    settings.set("fs.defaultFS", "hdfs://" + HOST + ":" + rpc);
    settings.set("dfs.namenode.rpc-address", HOST + ":" + rpc);
    settings.set("dfs.namenode.http-address", HOST + ":" + nameNode.getHttpAddress().getPort());
  }

  private void startDataNode(int index) throws Exception {
    Part part = parts.get(index);
    Configuration c = new Configuration(settings);
    c.set("dfs.datanode.data.dir", dir.resolve("data" + index).toUri().toString());
    c.set("dfs.datanode.address", part.address);
    c.set("dfs.datanode.http.address", part.http);
    c.set("dfs.datanode.ipc.address", part.ipc);
    DataNode node = DataNode.instantiateDataNode(new String[0], c, null);
    if (node == null) throw new IOException("DataNode " + index + " did not start: see the log");
    node.runDatanodeDaemon();
    long end = System.currentTimeMillis() + READY_TIMEOUT_MS;
    while (!node.isDatanodeFullyStarted()) {
      if (System.currentTimeMillis() > end) throw new IOException("DataNode " + index + " found no NameNode in 60 s");
      Thread.sleep(POLL_MS);
    }
    part.node = node;
    part.address = HOST + ":" + node.getXferPort();
    part.http = HOST + ":" + node.getInfoPort();
    part.ipc = HOST + ":" + node.getIpcPort();
  }

  /** Out of safe mode, and so many DataNodes have sent their first block report. Live alone is not ready. */
  private void await(int count) throws Exception {
    long end = System.currentTimeMillis() + READY_TIMEOUT_MS;
    while (nameNode.isStandbyState() ? reported() < count : nameNode.isInSafeMode() || reported() < count) {
      if (System.currentTimeMillis() > end)
        throw new IOException("after 60 s " + reported() + " of " + count + " DataNodes have reported");
      Thread.sleep(POLL_MS);
    }
  }

  private int reported() {
    List<DatanodeDescriptor> live = new ArrayList<>();
    nameNode.getNamesystem().getBlockManager().getDatanodeManager().fetchDatanodes(live, null, false);
    int count = 0;
    for (DatanodeDescriptor one : live) if (one.checkBlockReportReceived() && one.getCapacity() > 0) count++;
    return count;
  }

  private int running() {
    int count = 0;
    for (Part part : parts.values()) if (part.node != null) count++;
    return count;
  }

  private void run(String[] words) throws Exception {
    switch (words[0]) {
      case "start-namenode": startNameNode(); if (!parts.isEmpty()) await(running()); break;
      case "stop-namenode": nameNode.stop(); nameNode.join(); nameNode = null; break;
      case "start-datanode":
        startDataNode(Integer.parseInt(words[1]));
        if (nameNode != null) await(running());
        break;
      case "stop-datanode": {
        Part part = parts.get(Integer.parseInt(words[1]));
        part.node.shutdown();
        part.node = null;
        break;
      }
      case "await": await(Integer.parseInt(words[1])); break;
      case "safemode":
        nameNode.getRpcServer().setSafeMode(
            words[1].equals("enter") ? SafeModeAction.SAFEMODE_ENTER : SafeModeAction.SAFEMODE_LEAVE, false);
        break;
      case "active":
        nameNode.getRpcServer().transitionToActive(new StateChangeRequestInfo(RequestSource.REQUEST_BY_USER));
        break;
      case "standby":
        nameNode.getRpcServer().transitionToStandby(new StateChangeRequestInfo(RequestSource.REQUEST_BY_USER));
        break;
      case "status": break;
      default: throw new IOException("no such command: " + words[0]);
    }
  }

  private void say(String event) {
    StringBuilder line = new StringBuilder("{\"event\":\"").append(event).append('"');
    if (nameNode != null) {
      line.append(",\"rpc\":").append(nameNode.getNameNodeAddress().getPort());
      line.append(",\"http\":").append(nameNode.getHttpAddress().getPort());
      line.append(",\"state\":\"").append(nameNode.getState()).append('"');
      line.append(",\"reported\":").append(reported());
    }
    line.append(",\"datanodes\":[");
    String comma = "";
    for (var entry : parts.entrySet()) {
      Part part = entry.getValue();
      line.append(comma).append("{\"index\":").append(entry.getKey());
      line.append(",\"up\":").append(part.node != null);
      line.append(",\"address\":\"").append(part.address);
      line.append("\",\"http\":\"").append(part.http);
      line.append("\",\"ipc\":\"").append(part.ipc).append("\"}");
      comma = ",";
    }
    answers.println(line.append("]}"));
    answers.flush();
  }

  private void fail(Throwable error) {
    error.printStackTrace();
    StringBuilder text = new StringBuilder();
    for (char c : String.valueOf(error).toCharArray()) text.append(c < ' ' || c == '"' || c == '\\' ? ' ' : c);
    answers.println("{\"event\":\"error\",\"message\":\"" + text + "\"}");
    answers.flush();
  }

  private void serve() throws Exception {
    if (hasNameNode) {
      // the second of an HA pair gets a copy of the directory of the first, before it starts
      if (!Files.exists(Paths.get(new java.net.URI(nameDir())).resolve("current/VERSION"))) {
        NameNode.format(new Configuration(settings));
      }
      startNameNode();
    }
    for (int index : parts.keySet()) startDataNode(index);
    if (hasNameNode && !parts.isEmpty()) await(parts.size());
    say("ready");
    BufferedReader commands = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = commands.readLine()) != null; ) {
      String[] words = line.trim().split("\\s+");
      try {
        run(words);
        say(words[0]);
      } catch (Throwable error) {
        fail(error);
      }
    }
  }

  private String nameDir() {
    String id = settings.get("dfs.ha.namenode.id");
    String service = settings.get("dfs.nameservices");
    return settings.get(id == null ? "dfs.namenode.name.dir" : "dfs.namenode.name.dir." + service + "." + id);
  }

  public static void main(String[] args) {
    PrintStream answers = System.out;
    System.setOut(System.err); // a library that prints must not break the protocol
    ExitUtil.disableSystemExit();
    DefaultMetricsSystem.setMiniClusterMode(true);
    int code = 0;
    HdfsLauncher launcher = null;
    try {
      launcher = new HdfsLauncher(answers, args);
      launcher.serve();
    } catch (Throwable error) {
      code = 1;
      if (launcher != null) launcher.fail(error);
      else error.printStackTrace();
    }
    // exit, where the class archive is written, waits for hooks; a trial that ends has nothing to lose
    if (System.getProperty("troupe.archive") != null) System.exit(code);
    Runtime.getRuntime().halt(code);
  }
}
