import { expect, it } from 'vitest'
import { RecentMap } from '../../src/store/recent-map.ts'

it('a full map forgets what was not used for the longest time', () => {
  const map = new RecentMap<string, number>(2)
  map.set('a', 1)
  map.set('b', 2)
  expect(map.get('a')).toBe(1)
  map.set('c', 3)
  expect(map.recent()).toEqual(['c', 'a'])
  expect(map.get('b')).toBeUndefined()
})

it('a map by weight forgets as much as a new value needs, and keeps none that is too heavy', () => {
  const map = new RecentMap<string, number>(10, (value) => value)
  map.set('a', 4)
  map.set('b', 4)
  map.set('a', 3)
  map.set('c', 3)
  expect(map.recent()).toEqual(['c', 'a', 'b'])
  map.set('d', 7)
  expect(map.recent()).toEqual(['d', 'c'])
  map.set('e', 11)
  expect(map.recent()).toEqual([])
})
