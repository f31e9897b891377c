/** On an EtcdBackup: any new value asks for a drill of it, now. */
export const DRILL_ANNOTATION = 'etcdguardian.io/drill';
