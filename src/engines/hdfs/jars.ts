/** The release of Hadoop whose NameNode and DataNode a trial HDFS runs. */
export const HADOOP_VERSION = '3.4.3'

export interface Jar {
  readonly group: string
  readonly artifact: string
  readonly version: string
  readonly bytes: number
  /** Lower-case hex. */
  readonly sha256: string
}

/**
 * What NameNode and DataNode load, and no more: of the 200 jars of a distribution these 56. Group, artifact, version,
 * bytes, SHA-256.
 */
const TABLE = `
ch.qos.reload4j reload4j 1.2.22 332398 222f90d3e69541218ef6e70547749d693bd4c1846817e5bd7949b3e28950f99f
com.fasterxml.jackson.core jackson-annotations 2.12.7 75705 3cacef714a89f3d68b69fa11263afa55a6aa2fdef1fff93ded22caa16b54687c
com.fasterxml.jackson.core jackson-core 2.12.7 365538 3987a6a335046e226e56b81d69668fb5a91b155ea7fd96b0851adbb7d4ac1ca6
com.fasterxml.jackson.core jackson-databind 2.12.7.1 1512418 3f504cac405ce066d5665ff69541484d5322f35ac7a7ec6104cf86a01008e02d
com.fasterxml.woodstox woodstox-core 5.4.0 522679 dbb958cb89f1d45238b061e146249494ff887f5f42b671a3956e98956e0d5c53
com.github.pjfanning jersey-json 1.22.0 158890 2a7161550b5632b5c8f86bb13b15a03ae07ff27c92d9d089d9bf264173706702
com.google.code.findbugs jsr305 3.0.2 19936 766ad2a0783f2687962c8ad74ceecc38a28b9f72a2d085ee438b7813e928d0c7
com.sun.jersey jersey-core 1.19.4 436731 64b03198e0264849d0fc341857ebcc9c882b1909a2dc35a0972fe7d901b826e5
com.sun.jersey jersey-server 1.19.4 705276 afc0f6cd21d4742d312cb511a8fa2a253213285f5425dda005708fd5928504e6
com.sun.jersey jersey-servlet 1.19.4 128990 08c80d4e83ad8d20dcfbc633235bfa68f8519ceddb8ad2d6d112e95f43288e90
com.sun.xml.bind jaxb-impl 2.2.3-1 890168 fa3e1499b192c310312bf02881274b68394aaea4c9563e6c554cc406ae644ff8
commons-cli commons-cli 1.9.0 75479 d3d530d0f28fd0fbbffe2b0b338f70e8cb96f1605579e2e3abd4db29cac24e69
commons-codec commons-codec 1.15 353793 b3e9f6d63a790109bf0d056611fbed1cf69055826defeb9894a71369d246ed63
commons-io commons-io 2.16.1 508826 f41f7baacd716896447ace9758621f62c1c6b0a91d89acee488da26fc477c84f
commons-logging commons-logging 1.2 61829 daddea1ea0be0f56978ab3006b8ac92834afeefbd9b7e4e6316fca57df0fa636
io.netty netty-buffer 4.1.127.Final 352367 4a0a17dc5a58d910c56545be6912b9923cfe902522dc1df268e774bc22443eb6
io.netty netty-codec 4.1.127.Final 357373 187d21cee1a114f43b87be235f66c83828bdd0a3e0c1cdfebedaa37748e6e470
io.netty netty-codec-http 4.1.127.Final 681418 2408776c87c1808b5522298c25e8290427123763f4addfda02dff6a24a538f61
io.netty netty-common 4.1.127.Final 724247 a6732bb70dc15ed96aa33ecca82c0d7b20f8ff41adf04f74f168f626adf359e8
io.netty netty-handler 4.1.127.Final 580714 88b6892bc1321d32409392e5b9f94e59d8e800678c029c71e7c0d76daf6050d0
io.netty netty-resolver 4.1.127.Final 37906 a57ee62deb54ed99690db2696039f0f768a65c974677946ed48b2a2d8510ded3
io.netty netty-transport 4.1.127.Final 521518 0d1ad82bc658f9919ca750cebe2571d4b0ae4514ec781964091f405343760e92
io.netty netty-transport-native-unix-common 4.1.127.Final 44238 0e3a45e3ce1fe034ca8b32c1579afa5f06729ca6427b7b0610528c4ef37c6e50
jakarta.activation jakarta.activation-api 1.2.1 44399 8b0a0f52fa8b05c5431921a063ed866efaa41dadf2e3a7ee3e1961f2b0d9645b
javax.activation activation 1.1 62983 2881c79c9d6ef01c58e62beea13e9d1ac8b8baa16f2fc198ad6e6776defdcdd3
javax.servlet javax.servlet-api 3.1.0 95806 af456b2dd41c4e82cf54f3e743bc678973d9fe35bd4d3071fa05c7e5333b8482
javax.ws.rs jsr311-api 1.1.1 46367 ab1534b73b5fa055808e6598a5e73b599ccda28c3159c3c0908977809422ee4a
javax.xml.bind jaxb-api 2.2.2 105134 30233df6215fb982d8784de91d307596748cea98d6d502293c7c3e85c1697137
javax.xml.stream stax-api 1.0-2 23346 e8c70ebd76f982c9582a82ef82cf6ce14a7d58a4a4dca5cb7b7fc988c80089b7
org.apache.commons commons-collections4 4.4 751914 1df8b9430b5c8ed143d7815e403e33ef5371b2400aadbe9bda0883762e0846d1
org.apache.commons commons-compress 1.26.1 1079377 27bb5d40f37c3bb7205b4a0540247df057715e9f6cbbd97d626ab8b50318bb04
org.apache.commons commons-configuration2 2.10.1 657516 d5642131fbd7d85e9a4b824c52711528a1dde0a7866dfbd22a8711dbabd9eabc
org.apache.commons commons-lang3 3.18.0 702952 4eeeae8d20c078abb64b015ec158add383ac581571cddc45c68f0c9ae0230720
org.apache.commons commons-math3 3.6.1 2213560 1e56d7b058d28b65abd256b8458e3885b674c1d588fa43cd7d1cbb9c7ef2b308
org.apache.commons commons-text 1.14.0 259876 121fce2282910c8f0c3ba793a5436b31beb710423cbe2d574a3fb7a73c508e92
org.apache.hadoop hadoop-annotations 3.4.3 25516 523c1f218af5354fae5b78aebe643a6f1535b9be281517b3307ae69761b7888a
org.apache.hadoop hadoop-auth 3.4.3 113393 31fe9d26066ac98515476098133e2ccdfbc262f9b75d2b66a76c2d6a087f290c
org.apache.hadoop hadoop-common 3.4.3 4717717 73cc542694c25555b026a41c91f6192863afee18de947551f6225acfe23faf7a
org.apache.hadoop hadoop-hdfs 3.4.3 6369253 4479635529bfa7e2c655a4e2359e98cc2e02f0ea9fc037ee5b799aa15c8aa6b9
org.apache.hadoop hadoop-hdfs-client 3.4.3 5552013 6f15bf0e903945079f8161c491a9950256cc989265f60421d98e32d39d85a7c0
org.apache.hadoop.thirdparty hadoop-shaded-guava 1.5.0 3501106 70d5c152622df6fffbf8836af7833215dc7acdd5d9c881af11b8c0fbf30cdc0a
org.apache.hadoop.thirdparty hadoop-shaded-protobuf_3_25 1.5.0 1953000 b3182ff49abd6c3ee0f0504bcea027434e7f2dfd7b5cc7111c6292ba3e9f3b8e
org.apache.httpcomponents httpclient 4.5.13 780321 6fe9026a566c6a5001608cf3fc32196641f6c1e5e1986d1037ccdbd5f31ef743
org.apache.httpcomponents httpcore 4.4.13 328593 e06e89d40943245fcfa39ec537cdbfce3762aecde8f9c597780d2b00c2b43424
org.codehaus.jettison jettison 1.5.4 90184 fc3a68a7c17688ee50817340fef265d8d3f6c192c92bbee00d17f18a6d3dfeda
org.codehaus.woodstox stax2-api 4.2.1 195909 678567e48b51a42c65c699f266539ad3d676d4b1a5b0ad7d89ece8b9d5772579
org.eclipse.jetty jetty-http 9.4.57.v20241219 249911 02c6514977f0051dfdecf8d0799acf7a88fd8008a5fd9320a92f2e5db45d297b
org.eclipse.jetty jetty-io 9.4.57.v20241219 183011 f6246a2cf0abcee7f0971217c0ce4cd30d8ce15a91530363457113907ab38690
org.eclipse.jetty jetty-security 9.4.57.v20241219 118496 af923d4f395a73bf8ddcb754f42d7617c6b7055e37e5a6b625ed894f73107ae9
org.eclipse.jetty jetty-server 9.4.57.v20241219 739348 ba957ae07da647023cfa52c923732aea1c67f5273a594cee1863365dfebb9a02
org.eclipse.jetty jetty-servlet 9.4.57.v20241219 146064 c5e9517974dec9e4606b2d810f4995ea81091b1e24bd9640cb45d8b2aefd722c
org.eclipse.jetty jetty-util 9.4.57.v20241219 588962 6ccbf678716778e316cc097d8aada4fe2a2e16c0bbfd8a1763204d6724b423f4
org.eclipse.jetty jetty-webapp 9.4.57.v20241219 140308 f2cef977201142d18ad40986b388623e4ca22b89f38b7208a36a6453f993e37c
org.eclipse.jetty jetty-xml 9.4.57.v20241219 68894 531320243d5ab3a90c1e0d254d1267b3ec1af6531b8b0a3cce4c21ddb2366f33
org.slf4j slf4j-api 1.7.36 41125 d3ef575e3e4979678dc01bf1dcce51021493b4d11fb7f1be8ad982877c16a1c0
org.slf4j slf4j-reload4j 1.7.36 9824 ae6fdd5c9547896114d5ec7fa7503733b7d2890573d3886fb548b3119c4d3f67
`

export const JARS: readonly Jar[] = TABLE.trim()
  .split('\n')
  .map(line => {
    const [group = '', artifact = '', version = '', bytes = '', sha256 = ''] = line.split(' ')
    return { group, artifact, version, bytes: Number(bytes), sha256 }
  })

export const JARS_BYTES: number = JARS.reduce((sum, jar) => sum + jar.bytes, 0)

export function jarFile({ artifact, version }: Jar): string {
  return `${artifact}-${version}.jar`
}

/** Below the root of any Maven repository. */
export function jarPath(jar: Jar): string {
  return `${jar.group.replaceAll('.', '/')}/${jar.artifact}/${jar.version}/${jarFile(jar)}`
}
