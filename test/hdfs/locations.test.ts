// Where HDFS is: URLs, Hadoop's own configuration, options; and what people must not see.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseHadoopXml, readHadoopConfig } from '../../src/hdfs/hadoop-config.js'
import { HdfsPlaces, isHdfsLocation, parseHdfsLocation } from '../../src/hdfs/index.js'
import { resolveNameService } from '../../src/hdfs/name-service.js'
import { operationUrl } from '../../src/hdfs/name-nodes.js'
import { readHdfsSettings } from '../../src/hdfs/options.js'
import { redact } from '../../src/hdfs/redaction.js'

t.test('URLs are taken apart as they are written, and bad ones are named', async t => {
  t.same(parseHdfsLocation('hdfs://ns1/a b/100%/x?y#z/'), {
    scheme: 'hdfs',
    host: 'ns1',
    port: undefined,
    path: '/a b/100%/x?y#z',
  })
  t.match(parseHdfsLocation('webhdfs://nn:9870'), { scheme: 'webhdfs', host: 'nn', port: 9870, path: '/' })
  t.match(parseHdfsLocation('swebhdfs://[::1]:9871/a//b'), { host: '[::1]', port: 9871, path: '/a/b' })
  t.match(parseHdfsLocation('hdfs:///jobs'), { host: '', path: '/jobs' })
  for (const [url, why] of [
    ['hdfs:/a', /none of hdfs:\/\//],
    ['webhdfs://nn:99999/a', /its port is 99999; ports are 1 to 65535/],
    ['webhdfs://:9870/a', /a port but no host/],
    ['hdfs://nn/a/../b', /no "\.\." in a path/],
    ['hdfs://nn/12:30', /no "12:30" in a path/],
    ['webhdfs://ann:secret@nn/a', /^"webhdfs:\/\/…@nn\/a" is no place in HDFS/],
  ] as const) {
    t.throws(() => parseHdfsLocation(url), { code: 'ERR_HDFS_LOCATION', message: why }, url)
  }
  t.ok(isHdfsLocation('HDFS://x'))
  t.notOk(isHdfsLocation('/hdfs:/x'))
})

const xml = (properties: Record<string, string>): string => `<?xml version="1.0"?>
<!-- <property><name>no</name><value>no</value></property> -->
<configuration>${Object.entries(properties)
  .map(
    ([name, value]) =>
      `<property>\n<name> ${name} </name><value>${value}</value><final>true</final></property>`,
  )
  .join('\n')}</configuration>`

t.test(
  "Hadoop's configuration: entities, substitution, the later file counts; what is no such file is named",
  async t => {
    const folder = t.testdir({
      'core-site.xml': xml({ 'fs.defaultFS': 'hdfs://${name}', name: 'early', odd: 'a &amp; b &#x41;' }),
      'hdfs-site.xml': xml({ name: 'late', loop: '${loop}' }),
    })
    const config = readHadoopConfig(folder)
    t.equal(config.get('fs.defaultFS'), 'hdfs://late')
    t.equal(config.get('odd'), 'a & b A')
    t.equal(config.get('no'), undefined)
    t.throws(() => readHadoopConfig(join(folder, 'none')), {
      code: 'ERR_HDFS_CONFIG',
      message: /has neither core-site/,
    })
    for (const [text, why] of [
      ['<html></html>', /no <configuration>/],
      ['<configuration>what</configuration>', /has "what" where properties belong/],
      ['<!DOCTYPE x><configuration></configuration>', /declares entities/],
      ['<configuration><xi:include href="x"/></configuration>', /includes another file/],
      ['<configuration><property><value>x</value></property></configuration>', /a property without a name/],
    ] as const) {
      t.throws(() => parseHadoopXml(text, 'f.xml'), { code: 'ERR_HDFS_CONFIG', message: why })
    }
  },
)

t.test(
  'NameNodes: of a nameservice with two, of one, of a host, of fs.defaultFS, with and without TLS',
  async t => {
    const config = new Map(
      Object.entries({
        'fs.defaultFS': 'hdfs://ha',
        'dfs.nameservices': 'ha, single',
        'dfs.ha.namenodes.ha': 'nn1,nn2',
        'dfs.namenode.http-address.ha.nn1': 'one:50070',
        'dfs.namenode.rpc-address.ha.nn2': 'two:8020',
        'dfs.namenode.http-address.ha.nn2': '0.0.0.0:50071',
        'dfs.namenode.https-address.ha.nn1': 'one:50470',
        'dfs.namenode.http-address.single': 'three:9870',
        'dfs.namenode.http-address': 'four:1234',
        'hadoop.security.authentication': 'kerberos',
      }),
    )
    const origins = (url: string, given: ReadonlyMap<string, string> = config): readonly string[] =>
      resolveNameService(parseHdfsLocation(url), given).origins
    t.same(origins('hdfs://ha/x'), ['http://one:50070', 'http://two:50071'])
    t.same(origins('hdfs:///x'), ['http://one:50070', 'http://two:50071'])
    t.same(origins('webhdfs://ha/x'), ['http://one:50070', 'http://two:50071'])
    t.same(origins('swebhdfs://ha/x'), ['https://one:50470', 'https://two:9871'])
    t.same(origins('hdfs://single/x'), ['http://three:9870'])
    t.same(
      origins('hdfs://four:8020/x'),
      ['http://four:1234'],
      "the port of Hadoop's protocol is not that of HTTP",
    )
    t.same(origins('hdfs://nn/x', new Map()), ['http://nn:9870'])
    t.same(origins('webhdfs://nn:50070/x', new Map()), ['http://nn:50070'])
    t.same(origins('swebhdfs://nn/x', new Map()), ['https://nn:9871'])
    t.equal(resolveNameService(parseHdfsLocation('hdfs:///x'), config).kerberos, true)
    t.equal(resolveNameService(parseHdfsLocation('hdfs:///x'), config).name, 'hdfs://ha')
    t.throws(() => origins('hdfs:///x', new Map()), {
      code: 'ERR_HDFS_LOCATION',
      message: /no fs\.defaultFS says/,
    })
    t.throws(() => origins('hdfs://ha/x', new Map([['dfs.ha.namenodes.ha', 'a']])), {
      code: 'ERR_HDFS_LOCATION',
      message: /dfs\.namenode\.http-address\.ha\.a is not in/,
    })
  },
)

t.test(
  "Options: from the file that threads find too, over it what is given, Hadoop's own variables",
  async t => {
    const file = join(t.testdir(), 'options.json')
    writeFileSync(file, JSON.stringify({ user: 'stored', basePath: '/gateway/prod/webhdfs/v1' }))
    const env = { TROUPE_HDFS_OPTIONS: file, HADOOP_USER_NAME: 'hadoop', HADOOP_CONF_DIR: '/etc/hadoop' }
    t.match(readHdfsSettings({}, env), {
      user: 'stored',
      basePath: '/gateway/prod/webhdfs/v1',
      configDirectory: '/etc/hadoop',
      retryForMs: 30_000,
    })
    t.match(readHdfsSettings({ user: 'given' }, env), { user: 'given' })
    t.match(readHdfsSettings({}, { HADOOP_USER_NAME: 'hadoop' }), { user: 'hadoop' })
    t.throws(() => readHdfsSettings({ retryForMs: -1 }, {}), {
      code: 'ERR_INVALID_OPTION',
      message: /bad HDFS option 'retryForMs': got -1/,
    })
    t.throws(() => readHdfsSettings({}, { TROUPE_HDFS_OPTIONS: '/no/file' }), { code: 'ERR_HDFS_CONFIG' })
    const place = new HdfsPlaces(undefined, { user: 'x' }).open('webhdfs://nn:9870/jobs/a b').place
    t.equal(place, 'webhdfs://nn:9870/jobs/a b')
  },
)

t.test('Each segment of a path and each parameter is encoded on its own', async t => {
  const operation = {
    method: 'GET',
    op: 'OPEN',
    path: "/a b/50%/?#&;+é'",
    params: { destination: '/x&y=z' },
  } as const
  t.equal(
    operationUrl('http://nn:1/webhdfs/v1', operation, { 'user.name': 'ann' }).href,
    "http://nn:1/webhdfs/v1/a%20b/50%25/%3F%23%26%3B%2B%C3%A9'?op=OPEN&user.name=ann&destination=%2Fx%26y%3Dz",
  )
})

t.test('Redaction: tokens, cookies, credentials and passwords are hidden wherever they stand', async t => {
  for (const text of [
    'http://nn/webhdfs/v1/a?op=OPEN&delegation=SECRET&offset=1',
    'PUT /webhdfs/v1/?op=RENEWDELEGATIONTOKEN&token=SECRET failed',
    '{"Token":{"urlString":"SECRET"}}',
    'set-cookie: hadoop.auth="SECRET"; Path=/',
    'authorization: Negotiate SECRET',
    'https://ann:SECRET@gateway/',
  ]) {
    t.notMatch(redact(text), /SECRET/, text)
  }
  t.equal(
    redact('http://nn/a?op=OPEN&delegation=SECRET&offset=1'),
    'http://nn/a?op=OPEN&delegation=…&offset=1',
  )
})
